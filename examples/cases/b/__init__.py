"""Case B, adversarial inputs: an attack that deceives a network and one explanation of it does not deceive them all."""
