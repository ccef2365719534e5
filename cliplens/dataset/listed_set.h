// A set of pictures in files that a table lists: one row a picture, or several (picture_rows.h).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cliplens/dataset/image_set.h"
#include "cliplens/io/text_table.h"

namespace cliplens {

struct PictureTable {
  std::string kind;
  std::filesystem::path root;    // as the user gave it
  std::filesystem::path folder;  // the paths are relative to it
  std::string split;             // the split that was asked for
  TextTable table;
  Index path = -1;   // columns
  Index label = -1;  // -1: none; an empty cell: no label
  Index mask = -1;   // path of the mask, as `path`; an empty cell: no mask
  std::optional<int> mask_ignore;
  ImageSetOptions options = {};  // of a table
  LeftOut left_out = {};
};

// The columns that are neither path nor mask are the attributes, as texts; empty cells are left
// out. Throws Error(kCorruptData) for a path that is empty, or that is absolute or has '..' in it
// unless the options allow it, Error(kNotFound) for a table without rows, and as PictureRows. A
// missing file is found when it is read.
std::unique_ptr<ImageSet> OpenPictureTable(PictureTable pictures);

// The rows whose cell of `column` is `split`, or all rows if `split` is empty. Throws
// Error(kNotFound) that lists the column's values if no row matches, Error(kInvalidArgument) if
// column is -1.
TextTable RowsOfSplit(TextTable table, Index column, const std::string& split,
                      const std::string& name);

}  // namespace cliplens
