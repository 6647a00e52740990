# Seen from Cython only.
