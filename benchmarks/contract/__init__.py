"""The contract of methods: what each one promises on each family of backbones, as tests that packages can run, too."""
