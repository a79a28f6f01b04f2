# Static timing of {{top}} with OpenSTA, after scripts/yosys_asic.tcl. Written by {{generator}}; do not edit.
# Run it in the folder of manifest.json, with the path of the same Liberty file:
#     LIBERTY=cells.lib sta -exit scripts/sta.tcl
# There are no wires and no clock tree in it yet.
if {![info exists ::env(LIBERTY)]} {
    error "set LIBERTY to the path of the standard cells' Liberty file"
}
read_liberty $::env(LIBERTY)
read_verilog build/{{top}}_asic.v
link_design {{top}}
# The constraints are in nanoseconds; a Liberty file may be in others.
set_cmd_units -time ns
read_sdc constraints/{{top}}.sdc
report_checks -path_delay max -fields {fanout slew} -digits 4
report_tns
report_wns
puts "worst slack: [worst_slack -max] ns at {{clock_mhz}} MHz"
