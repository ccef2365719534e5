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
  std::string rows_out;            // RowLines() of it
  std::vector<std::string> items;  // texts, or the pictures' paths
  std::vector<Index> lines = {};   // of the texts in their file, from 1
  Index oriented = 0;              // PictureErrors::oriented
  std::vector<SkippedPicture> skipped;
  std::vector<SkippedPicture> incomplete = {};  // were read, and lack attributes
  LeftOut left_out = {};                        // of the set of pictures
};
// One line for each row of the array: {"row", "text", "line"} or {"row", "path"}.
std::string RowLines(const EmbedReport& report);
Json EmbedJson(const EmbedReport& report, const ChosenEdit& edit);  // "cliplens.embed/1"

}  // namespace cliplens
