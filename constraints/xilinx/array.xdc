# Timing constraints of {{top}} for Vivado, {{clock_mhz}} MHz. Written by {{generator}}; do not edit.
# The array is meant to be placed inside a design: no pins are assigned.
create_clock -name clock -period {{clock_period_ns}} -waveform {0.000 {{half_period_ns}}} [get_ports {{clock}}]
set_input_delay -clock clock {{io_delay_ns}} [get_ports -filter {DIRECTION == IN && NAME != "{{clock}}"}]
set_output_delay -clock clock {{io_delay_ns}} [get_ports -filter {DIRECTION == OUT}]
