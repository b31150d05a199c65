"""Networks as their cards describe them: found by name, path or card, or recognised by what their files say of themselves."""

from toppose.networks.card import ModelCard

__all__ = ["ModelCard"]
