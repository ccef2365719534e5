// Classes and embeddings of pictures as JSON (docs/json.md) and a table.
//
//   const ChosenEdit edit({}, model);
//   const ClassifyReport report =
//       ClassifyPictures(model, *OpenImages({.images = "photos/"}),
//                        {.classes = {.classes = "objects.txt"}}, edit, {});
//   Print(ClassifyTable(report), DumpJson(ClassifyJson(report, edit)));
#pragma once

#include <string>
#include <vector>

#include "cliplens/app/classification.h"
#include "cliplens/app/edits.h"
#include "cliplens/io/json.h"

namespace cliplens {

// "cliplens.classify/1".
Json ClassifyJson(const ClassifyReport& report, const ChosenEdit& edit);
// The classes of each picture, then the accuracy.
std::string ClassifyTable(const ClassifyReport& report);

// Rows that were written to `out`.
struct EmbedReport {
  std::string model_name;
  std::string fingerprint;
  std::string precision;
  std::vector<Index> shape;  // [B, E]
  std::string out;
  std::vector<std::string> items;  // texts, or the pictures' paths
  std::vector<SkippedPicture> skipped;
};
Json EmbedJson(const EmbedReport& report, const ChosenEdit& edit);  // "cliplens.embed/1"

}  // namespace cliplens
