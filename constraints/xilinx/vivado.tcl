# Out-of-context synthesis, placement and routing of {{top}}, without a project.
# Written by {{generator}}; do not edit. Run it in the folder of manifest.json:
#     vivado -mode batch -source scripts/vivado.tcl
# Another part:
#     vivado -mode batch -source scripts/vivado.tcl -tclargs {{other_xilinx_part}}
# Synthesis alone:
#     vivado -mode batch -source scripts/vivado.tcl -tclargs {{xilinx_part}} synthesis
set part {{xilinx_part}}
if {$argc > 0} {
    set part [lindex $argv 0]
}
set reports build/vivado
file mkdir $reports
read_verilog [list {{verilog_list}}]
read_xdc -mode out_of_context constraints/{{top}}.xdc
synth_design -top {{top}} -part $part -mode out_of_context -flatten_hierarchy rebuilt
report_utilization -file $reports/utilization_synthesis.rpt
report_utilization -hierarchical -file $reports/utilization_synthesis_hierarchical.rpt
report_timing_summary -delay_type min_max -max_paths 10 -file $reports/timing_synthesis.rpt
report_design_analysis -logic_level_distribution -file $reports/logic_levels.rpt
if {$argc > 1 && [lindex $argv 1] eq "synthesis"} {
    write_checkpoint -force $reports/{{top}}_synthesis.dcp
    return
}
opt_design
place_design
phys_opt_design
route_design
report_utilization -file $reports/utilization.rpt
report_utilization -hierarchical -file $reports/utilization_hierarchical.rpt
report_timing_summary -delay_type min_max -max_paths 10 -file $reports/timing.rpt
report_clock_utilization -file $reports/clocks.rpt
write_checkpoint -force $reports/{{top}}.dcp
puts "worst slack: [get_property SLACK [get_timing_paths]] ns at {{clock_mhz}} MHz"
