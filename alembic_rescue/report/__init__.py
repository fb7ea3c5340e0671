"""Reports for people and for machines: values in, strings out, nothing printed."""
