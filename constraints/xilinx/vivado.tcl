# Out-of-context synthesis, placement and routing of {{top}}, without a project.
# Written by {{generator}}; do not edit. Run it in the folder of manifest.json:
#     vivado -mode batch -source scripts/vivado.tcl
# Another part:
#     vivado -mode batch -source scripts/vivado.tcl -tclargs xcku5p-ffvb676-2-e
set part xc7a200tfbg676-2
if {$argc > 0} {
    set part [lindex $argv 0]
}
file mkdir build/vivado
read_verilog [list {{verilog_list}}]
read_xdc -mode out_of_context constraints/{{top}}.xdc
synth_design -top {{top}} -part $part -mode out_of_context -flatten_hierarchy rebuilt
report_utilization -hierarchical -file build/vivado/utilization_synthesis.rpt
opt_design
place_design
route_design
report_utilization -file build/vivado/utilization.rpt
report_utilization -hierarchical -file build/vivado/utilization_hierarchical.rpt
report_timing_summary -delay_type min_max -max_paths 10 -file build/vivado/timing.rpt
write_checkpoint -force build/vivado/{{top}}.dcp
puts "worst slack: [get_property SLACK [get_timing_paths]] ns at {{clock_mhz}} MHz"
