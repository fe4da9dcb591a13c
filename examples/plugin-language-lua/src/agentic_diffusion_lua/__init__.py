"""Lua as a language of Agentic Diffusion: an example of a plug-in, written by the public road alone."""
