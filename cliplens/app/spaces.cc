#include "cliplens/app/spaces.h"

#include "cliplens/base/error.h"

namespace cliplens {
namespace {

// Whether it reads like heads (L9.H3, L9-L11, last-4, all) and not like a property.
bool IsHeadList(const std::string& in) {
  return in == "all" || in.starts_with("last-") ||
         (in.size() > 1 && in[0] == 'L' && in[1] >= '0' && in[1] <= '9');
}

}  // namespace

std::string SpaceChoice::Text() const {
  return heads.property.empty() ? heads.heads : heads.Text();
}

SpaceChoice SpaceChoice::In(const std::string& place) const {
  SpaceChoice other = *this;
  const bool named = place == kWholeEmbedding || IsHeadList(place);
  other.heads.heads = named ? place : "all";
  other.heads.property = named ? "" : place;
  return other;
}

Likeness LikenessNamed(const std::string& definition, const std::string& measure) {
  const auto known_definition = DefinitionNamed(definition);
  const auto known_measure = MeasureNamed(measure);
  if (known_definition && known_measure) return {*known_definition, *known_measure};
  throw Error(ErrorCode::kInvalidArgument,
              "definition is score-of-sum or sum-of-scores, measure cosine, dot or raw");
}

SearchSpace OpenSpace(const SpaceChoice& choice, const Store& store, const RowModel& model,
                      const Work& work) {
  const Likeness likeness =
      LikenessNamed(choice.definition, choice.raw ? NameOf(Measure::kRaw) : choice.measure);
  SearchSpace space;
  const ModelHeads all = HeadsIn(store);
  if (!choice.heads.property.empty()) {
    const LabelFile labels = ReadLabelsOf(choice.heads, all);
    HeadsTelling(labels,
                 choice.heads.property);  // whether there are any, before texts are embedded
    const Array<float, 2> rows =
        CachedTexts(model, TextsOfProperties(labels),
                    {.truncate = true, .threads = work.threads, .progress = work.Stage("texts")});
    space = SpaceOfProperty(labels, choice.heads.property, rows);
  } else if (choice.heads.heads != kWholeEmbedding) {
    space.heads = ChooseHeads(choice.heads, all);
  }
  space.definition = likeness.definition;
  space.measure = likeness.measure;
  return space;
}

}  // namespace cliplens
