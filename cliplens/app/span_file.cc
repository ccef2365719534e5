#include "cliplens/app/span_file.h"

#include <algorithm>

#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"

namespace cliplens {

SpanFile ReadSpanFile(const std::filesystem::path& path, const ModelHeads& all) {
  SpanFile file;
  file.place = path.string();
  const Json json = ReadJsonFile(path);
  const auto format = JsonField<std::string>(json, "format", file.place);
  if (format != "cliplens.span/1") {
    throw Error(ErrorCode::kCorruptData,
                "{}: its format is {}, not cliplens.span/1; write one with 'cliplens span STORE "
                "--out FILE'",
                file.place, JsonExcerpt(json["format"]));
  }
  const Json model = JsonField<Json>(json, "model", file.place);
  const auto found = JsonField<std::string>(model, "fingerprint", file.place);
  if (found != all.fingerprint) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "{}: these are heads of a model with fingerprint {}, this one's is {}; span a store "
        "of this model",
        file.place, Printable(found), all.fingerprint);
  }
  for (const Json& head : JsonList(json, "heads", file.place)) {
    SpanFile::Head read{all.HeadNamed(JsonField<std::string>(head, "head", file.place), file.place),
                        {}};
    for (const Json& text : JsonList(head, "texts", file.place)) {
      read.texts.push_back(JsonField<std::string>(text, "text", file.place));
    }
    file.heads.push_back(std::move(read));
  }
  return file;
}

SpanDirection DirectionNamed(const SpanFile& file, const std::string& name) {
  const std::size_t colon = name.rfind(':');
  const std::string head = name.substr(0, colon);
  std::size_t number = 1;
  if (colon != std::string::npos) {
    number = ParseNumber<std::size_t>(std::string_view(name).substr(colon + 1)).value_or(0);
    if (number == 0) {
      throw Error(ErrorCode::kInvalidArgument,
                  "direction '{}': L11.H3:2 is the second text of the head L11.H3",
                  Printable(name));
    }
  }
  const auto found = std::ranges::find_if(
      file.heads, [&](const SpanFile::Head& h) { return HeadName(h.id) == head; });
  if (found == file.heads.end()) {
    throw Error(ErrorCode::kNotFound, "{}: there is no head '{}' in it", file.place,
                Printable(head));
  }
  if (number > found->texts.size()) {
    throw Error(ErrorCode::kNotFound, "{}: {} has {} texts, not {}", file.place, head,
                found->texts.size(), number);
  }
  return {found->id, found->texts[number - 1]};
}

}  // namespace cliplens
