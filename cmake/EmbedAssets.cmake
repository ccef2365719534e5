# cliplens_embed_assets(HEADER NAMESPACE FILE...): a generated header with each text file as a
# constant and the SHA-256 of its bytes, for pages whose content security policy names them.
# report.css in namespace n becomes n::kReportCss and n::kReportCssSha256 (hexadecimal).
function(cliplens_embed_assets header namespace)
  set(body "")
  foreach(file ${ARGN})
    set(path ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
    file(READ ${path} text)
    file(SHA256 ${path} hash)
    get_filename_component(base ${file} NAME)
    string(REGEX REPLACE "[^a-z0-9]" ";" words ${base})
    set(name k)
    foreach(word ${words})
      string(SUBSTRING ${word} 0 1 first)
      string(SUBSTRING ${word} 1 -1 rest)
      string(TOUPPER ${first} first)
      string(APPEND name ${first}${rest})
    endforeach()
    string(APPEND body "inline constexpr char ${name}[] = R\"asset(${text})asset\";\n"
                       "inline constexpr char ${name}Sha256[] = \"${hash}\";\n\n")
  endforeach()
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/${header} @ONLY CONTENT
"// Made by cmake/EmbedAssets.cmake.
#pragma once

namespace ${namespace} {

${body}}  // namespace ${namespace}
")
endfunction()
