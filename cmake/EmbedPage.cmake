# cliplens_embed_page(TARGET FILE...): builds files into TARGET as cliplens/server/explorer.h declares
# them (PageFiles), each with the SHA-256 of its bytes as tag.
function(cliplens_embed_page target)
  set(types_html "text/html; charset=utf-8")
  set(types_js "text/javascript; charset=utf-8")
  set(types_css "text/css; charset=utf-8")
  set(types_svg "image/svg+xml")
  set(types_json "application/json")
  set(blocks "")
  set(externs "")
  set(rows "")
  set(number 0)
  foreach(path ${ARGN})
    get_filename_component(name ${path} NAME)
    get_filename_component(ending ${path} LAST_EXT)
    string(SUBSTRING ${ending} 1 -1 ending)
    if(NOT types_${ending})
      message(FATAL_ERROR "${path}: no content type is known for .${ending}")
    endif()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
    file(SHA256 ${path} hash)
    set(symbol cliplens_page_${number})
    string(APPEND blocks "asm(\".pushsection .rodata\\n\"\n"
      "    \"${symbol}_begin:\\n\"\n    \".incbin \\\"${path}\\\"\\n\"\n"
      "    \"${symbol}_end:\\n\"\n    \".popsection\\n\"\n"
      "    \".globl ${symbol}_begin\\n\"\n    \".globl ${symbol}_end\\n\");\n")
    string(APPEND externs "extern \"C\" const char ${symbol}_begin[], ${symbol}_end[];\n")
    string(APPEND rows "      {\"/${name}\", \"${types_${ending}}\",\n"
      "       {${symbol}_begin, static_cast<std::size_t>(${symbol}_end - ${symbol}_begin)},\n"
      "       \"${hash}\"},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  set(text "// Made by cmake/EmbedPage.cmake.
#include \"cliplens/server/explorer.h\"

${blocks}
${externs}
namespace cliplens::server {

const std::vector<PageFile>& PageFiles() {
  static const std::vector<PageFile> files = {
${rows}  };
  return files;
}

}  // namespace cliplens::server
")
  set(source ${PROJECT_BINARY_DIR}/generated/page.cc)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT "${text}")
  set_property(SOURCE ${source} APPEND PROPERTY OBJECT_DEPENDS "${ARGN}")
  target_sources(${target} PRIVATE ${source})
endfunction()
