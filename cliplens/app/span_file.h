// The JSON that `cliplens span` writes, read again to map a head's texts on a picture.
//
//   const SpanFile file = ReadSpanFile("span.json", HeadsIn(model));
//   Print(DirectionNamed(file, "L11.H3:2").text);
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cliplens/app/label_file.h"
#include "cliplens/base/component.h"

namespace cliplens {

struct SpanDirection {
  HeadId head;
  std::string text;
};

struct SpanFile {
  std::string place;  // of the file, for messages
  struct Head {
    HeadId id;
    std::vector<std::string> texts;  // picked first to last
  };
  std::vector<Head> heads;
};

// Throws Error(kNotFound) and Error(kCorruptData) as ReadJsonFile does, and for a file that is no
// "cliplens.span/1" or names a head that the model lacks; Error(kInvalidArgument) when its model is
// another.
SpanFile ReadSpanFile(const std::filesystem::path& path, const ModelHeads& all);

// "L11.H3:2" is the second text of L11.H3, "L11.H3" its first. Throws Error(kInvalidArgument) for a
// name that cannot be read, Error(kNotFound) for a head or text that the file lacks.
SpanDirection DirectionNamed(const SpanFile& file, const std::string& name);

}  // namespace cliplens
