"""The methods that are compared if no others are asked for: of each family one or two that are cheap and often good."""

from collections.abc import Mapping

from methods.modality import Modality

METHODS: Mapping[Modality, tuple[str, ...]] = {
    "image": ("linear", "bitfit", "ssf", "lora", "adaptformer", "adapter", "adapterx", "full"),
    "points": ("linear", "bitfit", "ssf", "lora", "adaptformer", "adapterx", "idpt", "dapt", "full"),
}
EVERY = tuple(dict.fromkeys(name for names in METHODS.values() for name in names))
