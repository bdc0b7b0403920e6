/*
 * The demonstration page: the files of pkg/gateway/demo/ and the client of docs/examples, put into the program by the
 * assembler (.incbin), so that a node needs no files beside its binary. The folders come from CMake, which also knows
 * that this file depends on them.
 */
#include "gateway/demo_internal.h"

#define INCLUDE_FILE(symbol, path)                                                                                     \
    __asm__(".pushsection .rodata\n"                                                                                   \
            ".global gateway_demo_" #symbol "_begin, gateway_demo_" #symbol "_end\n"                                   \
            ".hidden gateway_demo_" #symbol "_begin, gateway_demo_" #symbol "_end\n"                                   \
            "gateway_demo_" #symbol "_begin:\n"                                                                        \
            ".incbin \"" path "\"\n"                                                                                   \
            "gateway_demo_" #symbol "_end:\n"                                                                          \
            ".byte 0\n"                                                                                                \
            ".popsection\n");                                                                                          \
    extern const char gateway_demo_##symbol##_begin[] __attribute__((visibility("hidden")));                           \
    extern const char gateway_demo_##symbol##_end[] __attribute__((visibility("hidden")))

INCLUDE_FILE(page, GATEWAY_DEMO_FOLDER "/index.html");
INCLUDE_FILE(script, GATEWAY_DEMO_FOLDER "/demo.js");
INCLUDE_FILE(stage, GATEWAY_DEMO_FOLDER "/stage.js");
INCLUDE_FILE(meters, GATEWAY_DEMO_FOLDER "/meters.js");
INCLUDE_FILE(style, GATEWAY_DEMO_FOLDER "/demo.css");
INCLUDE_FILE(client, GATEWAY_EXAMPLES_FOLDER "/warren.js");

static const struct gateway_asset assets[] = {
    {"/", "text/html; charset=utf-8", gateway_demo_page_begin, gateway_demo_page_end},
    {"/demo.js", "text/javascript; charset=utf-8", gateway_demo_script_begin, gateway_demo_script_end},
    {"/stage.js", "text/javascript; charset=utf-8", gateway_demo_stage_begin, gateway_demo_stage_end},
    {"/meters.js", "text/javascript; charset=utf-8", gateway_demo_meters_begin, gateway_demo_meters_end},
    {"/warren.js", "text/javascript; charset=utf-8", gateway_demo_client_begin, gateway_demo_client_end},
    {"/demo.css", "text/css; charset=utf-8", gateway_demo_style_begin, gateway_demo_style_end},
};

const struct gateway_asset *gateway_demo_find(struct slice path)
{
    for (size_t i = 0; i < BASE_ARRAY_SIZE(assets); i++)
        if (slice_equal_text(path, assets[i].path))
            return &assets[i];
    return NULL;
}
