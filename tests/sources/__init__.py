"""The catalogue of inputs: each is generated, played through a whole server, and compared with what it promises."""
