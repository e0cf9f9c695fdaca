"""The search spaces that ship with the package, one YAML file each, and what such files mean."""
