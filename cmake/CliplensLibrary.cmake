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
  # Sources that are included by another count as headers for the first of these. The second sees
  # names in the anonymous namespaces of the others. The rest depend on what is inlined where.
  target_compile_options(cliplens_warnings INTERFACE -Wno-subobject-linkage -Wno-shadow -Wshadow=local
    -Wno-error=maybe-uninitialized -Wno-error=array-bounds -Wno-error=stringop-overflow
    -Wno-error=stringop-overread -Wno-error=dangling-pointer -Wno-error=free-nonheap-object)
endif()

# cliplens_library(NAME DEPENDS ... EXTERNAL ... INTERNAL ... [PROGRAM_ONLY]): one static library for
# the folder cliplens/NAME. DEPENDS are folders above it in the design's list; EXTERNAL are libraries
# that its headers name, INTERNAL those that only its sources name. Unless PROGRAM_ONLY is given, the
# library and its headers are installed, and programs elsewhere link it as cliplens::NAME. A main.cc
# is left to the program.
function(cliplens_library name)
  cmake_parse_arguments(ARG "PROGRAM_ONLY" "" "DEPENDS;EXTERNAL;INTERNAL" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  add_library(cliplens_${name} STATIC ${sources})
  add_library(cliplens::${name} ALIAS cliplens_${name})
  target_include_directories(cliplens_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(cliplens_${name} PUBLIC cxx_std_20)
  target_link_libraries(cliplens_${name} PRIVATE $<BUILD_INTERFACE:cliplens_warnings>
                        ${ARG_INTERNAL})
  list(TRANSFORM ARG_DEPENDS PREPEND cliplens_)
  target_link_libraries(cliplens_${name} PUBLIC ${ARG_DEPENDS} ${ARG_EXTERNAL})
  if(NOT ARG_PROGRAM_ONLY)
    set_target_properties(cliplens_${name} PROPERTIES EXPORT_NAME ${name})
    install(TARGETS cliplens_${name} EXPORT cliplensTargets
            ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    # What ends in -inl.h is compiled once for each set of instructions, by sources of the folder.
    install(DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/${name}
            DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cliplens
            FILES_MATCHING PATTERN "*.h" PATTERN "*-inl.h" EXCLUDE PATTERN assets EXCLUDE)
    set_property(GLOBAL APPEND PROPERTY cliplens_installed cliplens_${name})
  endif()
endfunction()

# cliplens_package(): the target cliplens::cliplens, which is all installed libraries, and the CMake
# package by which programs elsewhere find it (docs/library.md).
function(cliplens_package)
  get_property(libraries GLOBAL PROPERTY cliplens_installed)
  # The name cliplens itself is the program's.
  add_library(cliplens_umbrella INTERFACE)
  add_library(cliplens::cliplens ALIAS cliplens_umbrella)
  set_target_properties(cliplens_umbrella PROPERTIES EXPORT_NAME cliplens)
  target_link_libraries(cliplens_umbrella INTERFACE ${libraries})
  install(TARGETS cliplens_umbrella EXPORT cliplensTargets)
  install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/cliplens.h
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cliplens)
  install(FILES ${PROJECT_BINARY_DIR}/generated/cliplens/base/version.h
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cliplens/base)
  set(place ${CMAKE_INSTALL_LIBDIR}/cmake/cliplens)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/cliplensConfig.cmake.in
                                ${PROJECT_BINARY_DIR}/cliplensConfig.cmake
                                INSTALL_DESTINATION ${place} NO_SET_AND_CHECK_MACRO)
  # Before 1.0 a minor version may change the interface.
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/cliplensConfigVersion.cmake
                                   COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/cliplensConfig.cmake
                ${PROJECT_BINARY_DIR}/cliplensConfigVersion.cmake DESTINATION ${place})
  install(EXPORT cliplensTargets NAMESPACE cliplens:: DESTINATION ${place})
endfunction()
