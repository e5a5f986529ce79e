"""What is watched: alarms, a dashboard and saved queries over what functions and workers emit."""
