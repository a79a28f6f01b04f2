# Timing constraints of {{top}}. Written by {{generator}}; do not edit.
create_clock -name clock -period {{clock_period_ns}} [get_ports {{clock}}]
set_input_delay -clock clock {{io_delay_ns}} [remove_from_collection [all_inputs] [get_ports {{clock}}]]
set_output_delay -clock clock {{io_delay_ns}} [all_outputs]
