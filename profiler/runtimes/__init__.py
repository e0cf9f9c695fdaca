"""Engines that run a model: one file each, none of which loads its engine when imported."""
