//! Reads a configuration from a `Value` and names all that is wrong with it.
