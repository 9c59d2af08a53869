"""What Streamlit runs for each look at the dashboard."""

from shopkeeper.apps.dashboard import stage

stage.play()
