# Installs a build into a new folder, moves the folder, and builds and runs a program on what is there.
#
#   cmake -DBUILD=... -DWORK=... -DVERSION=... -DCOMPILER=... -P check.cmake
#
# The install takes what the build tree holds: nothing is compiled but the program.
cmake_minimum_required(VERSION 3.25)

function(check_run name)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${name} ended with ${status}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
check_run("the install" ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/first)
file(RENAME ${WORK}/first ${WORK}/moved)

set(configure ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/app -B ${WORK}/build
    -DCMAKE_PREFIX_PATH=${WORK}/moved -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_BUILD_TYPE=Release)
# What is missing is named, each with its package.
execute_process(COMMAND ${configure} -DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON
                        -DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON
                RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
foreach(wanted "fmt \\(Debian: libfmt-dev\\)" "libxxhash \\(Debian: libxxhash-dev\\)")
  if(status EQUAL 0 OR NOT output MATCHES "${wanted}")
    message(FATAL_ERROR "without fmt and pkg-config the error does not match ${wanted}:\n${output}")
  endif()
endforeach()
file(REMOVE_RECURSE ${WORK}/build)

check_run("configuring the program" ${configure})
check_run("building the program" ${CMAKE_COMMAND} --build ${WORK}/build)
set(share ${WORK}/moved/share/cliplens)
check_run("the program" ${WORK}/build/app ${share}/models/pictureworld ${share}/world/sets/single
          ${WORK}/store)
set(expected "${VERSION}, 150 pictures, exact: true\na picture of an eggplant\n")
if(NOT output STREQUAL expected)
  message(FATAL_ERROR "the program printed\n${output}instead of\n${expected}")
endif()
