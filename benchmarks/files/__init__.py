"""Files of data sets: fetched, unpacked, read, checked, decoded, converted; no suite of its own is here."""
