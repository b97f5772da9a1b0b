"""Files of other projects that hold a method's weights."""
