# Warnings for the project's own code.
add_library(cliplens_warnings INTERFACE)
target_compile_options(cliplens_warnings INTERFACE -Wall -Wextra -Wconversion -Wshadow
                       $<$<BOOL:${CLIPLENS_WARNINGS_AS_ERRORS}>:-Werror>)
# GCC 12 warns of overlapping copies inside std::string (GCC bug 105651) and of uses after free inside
# Eigen that cannot happen.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(cliplens_warnings INTERFACE -Wno-restrict -Wno-use-after-free)
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CLIPLENS_SANITIZE)
  # The sanitizers' own code hides initialisations from this warning (GCC's manual says so).
  target_compile_options(cliplens_warnings INTERFACE -Wno-maybe-uninitialized)
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_UNITY_BUILD)
  # Sources that are included by another count as headers for this warning.
  target_compile_options(cliplens_warnings INTERFACE -Wno-subobject-linkage)
endif()

# cliplens_library(NAME DEPENDS ... EXTERNAL ... INTERNAL ...): one static library for the folder
# cliplens/NAME. DEPENDS are folders above it in the design's list; EXTERNAL are libraries that its
# headers name, INTERNAL those that only its sources name.
function(cliplens_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;EXTERNAL;INTERNAL" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  add_library(cliplens_${name} STATIC ${sources})
  target_include_directories(cliplens_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>
    $<INSTALL_INTERFACE:include>)
  target_link_libraries(cliplens_${name} PRIVATE $<BUILD_INTERFACE:cliplens_warnings>
                        ${ARG_INTERNAL})
  list(TRANSFORM ARG_DEPENDS PREPEND cliplens_)
  target_link_libraries(cliplens_${name} PUBLIC ${ARG_DEPENDS} ${ARG_EXTERNAL})
endfunction()
