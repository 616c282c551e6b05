"""Physics of a crossbar as plain functions over numpy arrays: wires, devices' noise, converters' ranges."""
