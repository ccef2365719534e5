#include "cliplens/cli/search_space.h"

#include "cliplens/model/text_cache.h"
#include "cliplens/report/label_file.h"

namespace cliplens::cli {
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

void AddSpaceChoice(CLI::App* verb, SpaceChoice& choice) {
  AddHeadChoice(verb, choice.heads);
  verb->get_option("--heads")->description(
      "L11.H3, L9-L11, last-4, all; commas between; embedding: the whole of it");
  verb->get_option("--property")
      ->description(
          "The heads of which --labels says that this property explains more than chance does, by "
          "their shares, in what the property's texts differ in");
  verb->add_option("--definition", choice.definition,
                   "Likeness of several heads: score-of-sum or sum-of-scores")
      ->check(CLI::IsMember({NameOf(Definition::kScoreOfSum), NameOf(Definition::kSumOfScores)}))
      ->capture_default_str();
  CLI::Option* measure =
      verb->add_option("--measure", choice.measure,
                       "cosine or dot, about the mean of the store's pictures; raw: dot product of "
                       "the contributions as they are")
          ->check(CLI::IsMember(
              {NameOf(Measure::kCosine), NameOf(Measure::kDot), NameOf(Measure::kRaw)}))
          ->capture_default_str();
  verb->add_flag("--raw", choice.raw, "The same as --measure raw")->excludes(measure);
}

bool SpaceIsChosen(const CLI::App& verb) {
  for (const char* option : {"--heads", "--property", "--definition", "--measure", "--raw"}) {
    if (verb.count(option) > 0) return true;
  }
  return false;
}

SearchSpace SpaceOf(const SpaceChoice& choice, const Store& store,
                    const std::function<const ClipModel&()>& model, const Common& common) {
  SearchSpace space{.definition = DefinitionNamed(choice.definition).value(),
                    .measure = choice.raw ? Measure::kRaw : MeasureNamed(choice.measure).value()};
  if (choice.heads.property.empty() && choice.heads.heads == kWholeEmbedding) return space;
  const std::string& fingerprint = store.info().fingerprint;
  const auto layers = static_cast<int>(store.basis().layers());
  const auto heads = static_cast<int>(store.basis().num_heads());
  if (choice.heads.property.empty()) {
    space.heads = ChooseHeads(choice.heads, fingerprint, layers, heads);
    return space;
  }
  const LabelFile labels = LabelsOf(choice.heads, fingerprint, layers, heads);
  HeadsTelling(labels, choice.heads.property);  // whether there are any, before texts are embedded
  const Array<float, 2> rows = CachedTexts(
      model, fingerprint, Precision::kF32, TextsOf(labels),
      {.truncate = true, .threads = common.threads, .progress = Progress(common, "texts")});
  SearchSpace of_property = SpaceOfProperty(labels, choice.heads.property, rows);
  of_property.definition = space.definition;
  of_property.measure = space.measure;
  return of_property;
}

}  // namespace cliplens::cli
