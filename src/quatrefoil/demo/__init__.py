"""The demonstration: four real hospitals, two small models, what each layer protects, and what is lost without it."""
