// How long work runs: on how many threads, and where it reports its progress and what it left out.
//
//   const Work work{.threads = 4, .progress = [](const char* stage) -> ProgressSink {
//     return [stage](Index done, Index total) { Print(stage, done, total); };
//   }};
//   const Classifier classes = OpenClassifier(model, {.classes = "objects.txt"}, work);
#pragma once

#include <functional>
#include <utility>

#include "cliplens/base/progress.h"
#include "cliplens/dataset/text_pool.h"

namespace cliplens {

struct Work {
  int threads = 0;  // 0: all cores
  // The sink of a stage, such as "texts" or "pictures"; empty: progress is not reported.
  std::function<ProgressSink(const char* stage)> progress = {};
  OnBlankLines on_blank = {};  // of the files of texts and classes that it reads

  ProgressSink Stage(const char* stage) const {
    return progress ? progress(stage) : ProgressSink();
  }
};

}  // namespace cliplens
