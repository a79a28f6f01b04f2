# Timing constraints of {{top}}. Written by {{generator}}; do not edit.
create_clock -name clock -period {{clock_period_ns}} [get_ports {{clock}}]
# All inputs but the clock; OpenSTA does not know the usual command for that.
if {[llength [info commands remove_from_collection]]} {
    set data_inputs [remove_from_collection [all_inputs] [get_ports {{clock}}]]
} else {
    set data_inputs {}
    foreach port [all_inputs] {
        if {[get_property $port full_name] ne "{{clock}}"} {
            lappend data_inputs $port
        }
    }
}
set_input_delay -clock clock {{io_delay_ns}} $data_inputs
set_output_delay -clock clock {{io_delay_ns}} [all_outputs]
