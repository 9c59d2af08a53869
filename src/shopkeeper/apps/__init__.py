"""What people and programs touch: the command line; later the API and the dashboard."""
