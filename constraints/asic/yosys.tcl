# Synthesis of {{top}} to standard cells. Written by {{generator}}; do not edit.
# Run it in the folder of manifest.json, with the path of a Liberty file; of the one given to `generate`, if one was:
#     mkdir -p build && LIBERTY=cells.lib yosys -c scripts/yosys_asic.tcl
yosys -import
if {![info exists ::env(LIBERTY)]} {
    error "set LIBERTY to the path of the standard cells' Liberty file"
}
set liberty $::env(LIBERTY)
read_liberty -lib -ignore_miss_func $liberty
foreach file [list {{verilog_list}}] {
    read_verilog $file
}
hierarchy -check -top {{top}}
yosys check -assert
synth -top {{top}} -flatten
dfflibmap -liberty $liberty
# The clock period in picoseconds.
abc -D {{clock_period_ps}} -liberty $liberty
opt_clean -purge
yosys check -assert
stat -liberty $liberty
write_verilog -noattr build/{{top}}_asic.v
