//! One line of a registry index: strictly validated, never trusted.
