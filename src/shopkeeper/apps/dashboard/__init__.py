"""The dashboard: pages over the published version, in a browser. It computes nothing that serving does not give."""
