"""A folder of its own for the script that Streamlit runs: it would take a folder ``pages`` beside it for scripts as well."""
