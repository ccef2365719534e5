// Labels of heads with their scores, by the model that made the store.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "cliplens/base/component.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/store.h"
#include "cliplens/model/clip.h"
#include "cliplens/report/label_report.h"

namespace cliplens {

struct LabelInput {
  std::vector<HeadId> heads;
  TextPool properties;                    // the property table
  std::optional<TextPool> texts = {};     // for the scores; nothing: the property table
  LabelOptions options;                   // its threads and progress (heads) are those of all of it
  ProgressSink text_progress = {};        // texts
  bool truncate = false;                  // texts longer than the context
  bool calibrated = false;                // as LabelReport has it
  std::filesystem::path text_cache = {};  // where rows of texts are kept; empty: nowhere
};
// Throws as PropertiesOf, ClipModel::EmbedTexts, LabelHeads and TextSpanOfHeads.
LabelReport CollectLabels(const Store& store, const ClipModel& model, LabelInput input);

}  // namespace cliplens
