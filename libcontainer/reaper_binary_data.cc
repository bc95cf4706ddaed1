// The davit-reaper executable as read-only data; see init_binary_data.cc.
asm(R"(
    .pushsection .rodata
    .balign 4096
    .globl davit_reaper_begin
    .globl davit_reaper_end
davit_reaper_begin:
    .incbin "davit-reaper"
davit_reaper_end:
    .popsection
)");
