# cliplens_clip_vocabulary(TARGET): builds CLIP's own vocabulary into TARGET, as
# cliplens/model/clip_vocabulary.h declares it. It is not in the repository: the published
# open_clip package has it, and tools/fetch_clip_vocabulary.py takes it from there once per build
# directory. Without it everything builds, and a model then needs vocabulary files beside it.
option(CLIPLENS_CLIP_VOCABULARY "Build in CLIP's own vocabulary (downloads 1.5 MB with pip)" ON)
set(CLIPLENS_CLIP_VOCABULARY_FILE "" CACHE FILEPATH
    "A wheel of open_clip_torch or its bpe_simple_vocab_16e6.txt.gz, instead of the download")

function(cliplens_clip_vocabulary target)
  set(script ${PROJECT_SOURCE_DIR}/tools/fetch_clip_vocabulary.py)
  set(source ${PROJECT_BINARY_DIR}/generated/clip_vocabulary.cc)
  set(reason "")
  if(CLIPLENS_CLIP_VOCABULARY AND NOT EXISTS ${source})
    find_package(Python3 COMPONENTS Interpreter)
    if(Python3_FOUND)
      set(from "")
      if(CLIPLENS_CLIP_VOCABULARY_FILE)
        set(from --from ${CLIPLENS_CLIP_VOCABULARY_FILE})
      endif()
      execute_process(COMMAND ${Python3_EXECUTABLE} ${script} ${from} --cc ${source}
                      RESULT_VARIABLE status ERROR_VARIABLE reason
                      ERROR_STRIP_TRAILING_WHITESPACE)
    else()
      set(reason "no Python 3 was found")
    endif()
    if(NOT EXISTS ${source})
      message(WARNING "CLIP's vocabulary is left out: ${reason}\n"
              "Models without vocabulary files will not read texts. Configure again with a network, "
              "or with -DCLIPLENS_CLIP_VOCABULARY_FILE=bpe_simple_vocab_16e6.txt.gz.")
    endif()
  endif()
  if(NOT CLIPLENS_CLIP_VOCABULARY OR NOT EXISTS ${source})
    set(source ${PROJECT_BINARY_DIR}/generated/no_clip_vocabulary.cc)
    file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"#include \"cliplens/model/clip_vocabulary.h\"

namespace cliplens {

std::string_view ClipMergesText() { return {}; }

}  // namespace cliplens
")
  endif()
  target_sources(${target} PRIVATE ${source})
endfunction()
