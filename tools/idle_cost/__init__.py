"""What a deployment costs while no run is going on, computed from its templates and published prices."""
