// What a model is, and what it reads, as JSON (docs/json.md) and tables.
//
//   Print(InfoTable(DescribeModel(model, threads)));
#pragma once

#include <string>
#include <vector>

#include "cliplens/app/model_info.h"
#include "cliplens/app/pull.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/io/image.h"
#include "cliplens/io/json.h"
#include "cliplens/model/clip.h"

namespace cliplens {

Json InfoJson(const ModelInfo& info);  // "cliplens.info/1"
// Sizes, then a row of ranks for each layer.
std::string InfoTable(const ModelInfo& info);

// "cliplens.tokenize/1". tokens[i] are those of texts[i].
Json TokensJson(const ClipModel& model, const TextLines& texts, const std::vector<Tokens>& tokens);
// A line of ids for each text.
std::string TokensTable(const std::vector<Tokens>& tokens);

// "cliplens.preprocess/1" of a picture at `path`, its tensor written to `out`.
Json PixelsJson(const Image& picture, const std::string& path, const Array<float, 3>& pixels,
                const std::string& out);

// What was fetched of the hub: "cliplens.pull/1", and a few lines.
Json PullJson(const PulledModel& model);
std::string PullText(const PulledModel& model);

}  // namespace cliplens
