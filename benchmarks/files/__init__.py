"""Files of data sets: how they are fetched, unpacked, read, checked, decoded and written. No suite is known here."""
