#include "cliplens/report/description_report.h"

#include <fmt/format.h>

#include "cliplens/report/json.h"
#include "cliplens/report/table.h"
#include "cliplens/report/weight_report.h"

namespace cliplens {
namespace {

// "photos, object=duck, 12 pictures".
std::string PicturesText(const DescribedPictures& pictures) {
  std::string text = pictures.place;
  if (!pictures.only.empty()) text += ", " + pictures.only;
  if (pictures.item) text += fmt::format(", item {}", *pictures.item);
  if (pictures.item || pictures.images == 1) return text;
  return text + fmt::format(", {} pictures", pictures.images);
}

std::string TitleOf(const Description& description) {
  std::string what = "embedding";
  if (!description.components.empty()) {
    what.clear();
    for (const ComponentId& id : description.components) {
      what += (what.empty() ? "" : ", ") + NameOf(id);
    }
  }
  std::string title = fmt::format("{}: {}", PicturesText(description.pictures), what);
  switch (description.centring) {
    case Description::Centring::kMeans:
      return title + fmt::format(", less the mean of {} pictures ({})\n", description.means_images,
                                 description.means);
    case Description::Centring::kDifference:
      return title + fmt::format(", less that of {}\n", PicturesText(*description.minus));
    case Description::Centring::kNone:
      break;
  }
  return title +
         "\nnot centred: it holds what all pictures have in common; --means STORE takes that off\n";
}

Json PicturesJson(const DescribedPictures& pictures) {
  Json json = {{"pictures", pictures.place}, {"images", pictures.images}};
  if (!pictures.only.empty()) json["only"] = pictures.only;
  if (pictures.item) json["item"] = *pictures.item;
  PutLosses(json, pictures.oriented, pictures.skipped, pictures.incomplete, pictures.left_out);
  return json;
}

}  // namespace

std::string DescriptionTable(const Description& description) {
  const SparseWords& words = description.words;
  std::string out = TitleOf(description) + "\n";
  if (words.words.empty()) {
    return out + fmt::format("no text of {} points its way\n", description.pool.name);
  }
  Table table({{"weight", Align::kRight}, {"cosine", Align::kRight}, {"text"}});
  for (const SparseWord& word : words.words) {
    table.AddRow({FormatNumber(word.weight, 3), FormatNumber(word.cosine, 3),
                  At(description.pool.texts, word.index)});
  }
  return out + table.Render() + fmt::format("cosine of the sum {:.3f}\n", words.cosine);
}

Json DescriptionJson(const Description& description) {
  Json json = {{"format", "cliplens.describe/1"},
               {"model", ModelJson(description.model_name, description.fingerprint)},
               {"pool", PoolJson(description.pool)},
               {"components", Json::array()},
               {"of", PicturesJson(description.pictures)}};
  for (const ComponentId& id : description.components) json["components"].push_back(NameOf(id));
  if (description.minus) json["minus"] = PicturesJson(*description.minus);
  json["centring"] = NameOf(description.centring);
  if (!description.means.empty()) {
    json["means"] = {{"store", description.means}, {"images", description.means_images}};
  }
  json["length"] = description.length;
  json["penalty"] = description.words.penalty;
  json.update(SparseWordsJson(description.words, description.pool));
  return json;
}

}  // namespace cliplens
