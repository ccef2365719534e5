#include "cliplens/server/source.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "cliplens/analysis/groups.h"
#include "cliplens/analysis/neuron_scores.h"
#include "cliplens/app/labels.h"
#include "cliplens/app/pictures.h"
#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/report/label_report.h"

namespace cliplens::server {
namespace {

constexpr Index kMostValues = 32;    // of an attribute that makes groups
constexpr Index kSampledShards = 2;  // that attributes are looked for in
constexpr Index kItemBytes = 400;    // about what an item takes
constexpr Index kMostLiveBytes = Index{1} << 30;

Index Integer(const Json& object, const char* key, const std::string& name) {
  return static_cast<Index>(JsonField<std::int64_t>(object, key, name));
}

Index BytesOf(const TokenPass& pass) {
  const Captures& c = pass.captures;
  return static_cast<Index>(sizeof(float)) *
         (c.z.size() + c.z_self.size() + c.parts.size() + c.pattern.size() + c.value.size() +
          c.norm1.size() + c.hidden.size());
}

std::string KeyOf(const SearchSpace& space) {
  std::string key = fmt::format("{} {}", NameOf(space.definition), NameOf(space.measure));
  for (const HeadId id : space.heads) key += " " + HeadName(id);
  for (const double weight : space.weights) key += fmt::format(" {}", weight);
  if (const auto values = space.directions.flat(); !values.empty()) {
    key += " " + HashBytes(AsBytes(values));
  }
  return key;
}

}  // namespace

std::shared_ptr<const SentPicture> Shared::Sent(const std::string& id) {
  if (auto found = sent.Find(id)) return found;
  throw Error(ErrorCode::kNotFound,
              "the picture {} is not here (any more); drop it on the page again", Printable(id));
}

Source::Source(std::string id, SourceOptions options, Shared& shared)
    : options_(std::move(options)), shared_(shared) {
  report_.id = std::move(id);
  report_.name = options_.name;
  if (options_.store) {
    const StoreInfo& info = options_.store->info();
    report_.store = info;
    report_.model_name = info.model_name;
    report_.embed_width = options_.store->basis().embed_width();
    model_heads_ = HeadsIn(*options_.store);
    const std::string place = options_.store->directory().string();
    const Json vision = JsonField<Json>(info.model_config, "vision", place);
    report_.image_size = Integer(vision, "image_size", place);
    report_.patch_size = Integer(vision, "patch_size", place);
  } else {
    const ModelConfig& config = model().config();
    report_.model_name = model().name();
    report_.embed_width = config.embed_width;
    model_heads_ = HeadsIn(model());
    report_.image_size = config.preprocess.image_size;
    report_.patch_size = config.patch_size;
  }
  if (report_.image_size < 1 || report_.patch_size < 1 || report_.patch_size > report_.image_size) {
    throw Error(ErrorCode::kCorruptData, "{}: pictures of {} pixels in patches of {}",
                options_.name, report_.image_size, report_.patch_size);
  }
  report_.fingerprint = model_heads_.fingerprint;
  report_.layers = model_heads_.layers;
  report_.heads = model_heads_.heads;
  report_.pictures = options_.pictures != nullptr;
  if (options_.neurons) report_.neurons = options_.neurons->info();
  report_.neuron_pictures = options_.neuron_pictures != nullptr;
  if (options_.pool) report_.pool = options_.pool->name;
  if (options_.properties) report_.properties_name = options_.properties->name;
  if (options_.classes) {
    report_.classes_name = options_.classes->file.name;
    report_.classes = options_.classes->file.names;
  }
  report_.label = options_.label;
  if (options_.labels) {
    labels_ = std::make_shared<const LoadedLabels>(*std::move(options_.labels));
    options_.labels.reset();
  }
}

SourceReport Source::Describe() {
  SourceReport report = report_;
  report.attributes = attributes();
  const std::scoped_lock lock(mutex_);
  report.label_job = Running(label_job_);
  report.preparing = Running(prepare_job_);
  report.labelled = labels_ != nullptr;
  if (labels_ != nullptr) report.properties = labels_->file.properties;
  return report;
}

const Store& Source::store() const {
  if (options_.store) return *options_.store;
  throw Error(ErrorCode::kPrecondition,
              "{} is a model; what is asked for needs a store of pictures: make one with 'cliplens "
              "decompose' and open that",
              options_.name);
}

const NeuronStore& Source::neurons() const {
  if (options_.neurons) return *options_.neurons;
  throw Error(
      ErrorCode::kPrecondition,
      "{}: no store of its neurons was opened: make one with 'cliplens neurons collect' and "
      "name it beside",
      options_.name);
}

const NeuronPool& Source::neuron_pool() {
  const Array<float, 2>& rows = texts();
  return neuron_pool_.Get([&] { return MakeNeuronPool(*options_.pool, rows, TextScale::kUnit); });
}

std::shared_ptr<const NeuronPaths> Source::Paths(Index layer) {
  const std::string key = fmt::format("{}", layer);
  if (auto found = paths_.Find(key)) return found;
  NeuronPaths paths(model().image_tower(), model().image_readout(), layer, threads());
  Index numbers = paths.shared().size();
  for (const Matrix& values : paths.values()) numbers += values.size();
  for (const Matrix& writes : paths.writes()) numbers += writes.size();
  return paths_.Add(key, std::move(paths), numbers * static_cast<Index>(sizeof(double)));
}

void Source::Prepare() {
  if (!options_.pool && !options_.classes && !is_store()) return;
  const std::scoped_lock lock(mutex_);
  prepare_job_ =
      shared_.jobs.Start("texts", [this](const ProgressSink& progress) { PrepareNow(progress); });
}

void Source::PrepareNow(const ProgressSink& progress) {
  progress(0, 0);
  if (is_store() && store().info().images >= 2) shares();  // the first view's
  const Work work{.threads = threads(), .progress = [&](const char*) { return progress; }};
  const RowModel model = options_.model.ForRows();
  if (options_.pool) {
    Array<float, 2> rows = RowsOfPool(model, *options_.pool, /*truncate=*/true, work);
    const std::scoped_lock lock(mutex_);
    texts_ = std::move(rows);
  }
  if (options_.classes) {
    Classifier classifier = EmbedClasses(model, *options_.classes, work);
    const std::scoped_lock lock(mutex_);
    classifier_ = std::move(classifier);
  }
  if (auto labels = this->labels()) {
    auto whole = std::make_shared<LoadedLabels>(*labels);
    whole->texts = CachedTexts(model, TextsOfProperties(whole->file),
                               {.truncate = true, .threads = threads(), .progress = progress});
    const std::scoped_lock lock(mutex_);
    if (labels_ == labels) labels_ = std::move(whole);
  }
  // A shard's checksum is checked at its first use; no view has to wait for that.
  for (Index s = 0; is_store() && !store().info().stats_only && s < store().num_shards(); ++s) {
    store().ReadLn(s);
    progress(s + 1, store().num_shards());
  }
}

std::string Source::Running(const std::string& job) const {
  if (job.empty() || shared_.jobs.Status(job).state != JobState::kRunning) return "";
  return job;
}

// Called with the lock.
void Source::CheckPrepared(const char* what) {
  if (prepare_job_.empty()) return;
  const JobStatus status = shared_.jobs.Status(prepare_job_);
  if (status.state == JobState::kRunning) throw NotReady{what, prepare_job_};
  if (status.state == JobState::kFailed) {
    throw Error(ErrorCode::kPrecondition, "the {} could not be embedded: {}", what,
                status.error_message);
  }
}

const Array<float, 2>& Source::texts() {
  const std::scoped_lock lock(mutex_);
  if (!texts_) {
    CheckPrepared("texts");
    throw Error(ErrorCode::kPrecondition, "{}: no pool of texts; start with --texts FILE",
                options_.name);
  }
  return *texts_;
}

const Classifier& Source::classifier() {
  const std::scoped_lock lock(mutex_);
  if (!classifier_) {
    CheckPrepared("classes");
    throw Error(ErrorCode::kPrecondition, "{}: no classes; start with --classes FILE",
                options_.name);
  }
  return *classifier_;
}

std::vector<float> Source::RowOfText(const std::string& text, bool truncate) {
  const std::string key = (truncate ? "cut " : "whole ") + text;
  if (const auto found = rows_of_text_.Find(key)) return *found;
  const Array<float, 2> rows = EmbedWords(model(), {text}, threads(), truncate);
  std::vector<float> row(rows.row(0).begin(), rows.row(0).end());
  rows_of_text_.Add(key, row, static_cast<Index>(key.size() + row.size() * sizeof(float)));
  return row;
}

std::shared_ptr<const LoadedLabels> Source::labels() const {
  const std::scoped_lock lock(mutex_);
  return labels_;
}

std::string Source::StartLabels() {
  {
    const std::scoped_lock lock(mutex_);
    if (std::string running = Running(label_job_); !running.empty()) return running;
  }
  if (!options_.properties) {
    throw Error(ErrorCode::kPrecondition, "{}: no property table; start with --properties FILE",
                options_.name);
  }
  PropertiesOf(*options_.properties);  // whether it is one
  if (store().info().stats_only) {
    throw Error(ErrorCode::kPrecondition,
                "{}: labels need the factors of pictures, this store keeps statistics only",
                options_.name);
  }
  const std::scoped_lock lock(mutex_);
  label_job_ = shared_.jobs.Start("labels", [this](const ProgressSink& progress) {
    progress(0, 0);
    const LabelReport report =
        MakeLabels(store(), model(),
                   LabelInput{.heads = model_heads_.Parse("all"),
                              .properties = *options_.properties,
                              .truncate = true},
                   {.threads = threads(), .progress = [&](const char*) { return progress; }});
    auto labels =
        std::make_shared<LoadedLabels>(LabelsFromJson(LabelJson(report), "labels", model_heads_));
    labels->texts = Array<float, 2>(report.texts.shape());
    auto to = labels->texts.flat().begin();
    for (std::size_t p = 0; p < report.table.names.size(); ++p) {
      to = std::ranges::copy(RowsOfProperty(report, p).flat(), to).out;
    }
    const std::scoped_lock job_lock(mutex_);
    labels_ = std::move(labels);
  });
  return label_job_;
}

const std::vector<ComponentShare>& Source::shares() {
  return shares_.Get([&] { return ComponentShares(store().statistics(), store().basis()); });
}

const ContributionMeans& Source::means() {
  return *means_.Get(
      [&] { return std::make_unique<ContributionMeans>(store().basis(), store().statistics()); });
}

const MatchedLabels& Source::matched_labels() {
  return matched_labels_.Get([&] {
    return MatchLabels(store().ReadItems(), options_.classes->file, options_.label,
                       store().directory().string());
  });
}

std::shared_ptr<const AttributeGroups> Source::groups(const std::string& attribute) {
  if (auto found = groups_.Find(attribute)) return found;
  AttributeGroups groups =
      GroupByAttribute(store().ReadItems(), attribute, kMostValues, store().directory().string());
  const auto bytes = static_cast<Index>(groups.value_of.size() * sizeof(Index));
  return groups_.Add(attribute, std::move(groups), bytes);
}

const std::vector<std::string>& Source::attributes() {
  return attributes_.Get([&] {
    std::vector<std::string> names;
    if (!is_store() || store().info().stats_only) return names;
    std::map<std::string, std::set<std::string>> values;
    std::vector<std::string> order;
    for (Index s = 0; s < std::min(store().num_shards(), kSampledShards); ++s) {
      for (const Item& item : *ItemsOfShard(s)) {
        for (const auto& [name, value] : item.attributes.items()) {
          const std::optional<std::string> text = LabelOf(item, name);
          if (!text) continue;
          if (!values.contains(name)) order.push_back(name);
          values[name].insert(*text);
        }
      }
    }
    for (const std::string& name : order) {
      const auto count = static_cast<Index>(values[name].size());
      if (count > 1 && count <= kMostValues) names.push_back(name);
    }
    return names;
  });
}

Source::Live& Source::live(bool rows) {
  const Index images = store().info().images;
  const Index classes =
      options_.classes ? static_cast<Index>(options_.classes->file.names.size()) : Index{0};
  const Index bytes = images * (16 * classes + (rows ? 12 * embed_width() : 0));
  if (bytes > kMostLiveBytes) {
    throw Error(ErrorCode::kExhausted,
                "{} pictures and {} classes would take {} MB here, at most {} are taken; use "
                "'cliplens evaluate groups'",
                images, classes, bytes >> 20, kMostLiveBytes >> 20);
  }
  return *live_.Get([&] {
    const ArrayView<const float, 2> none(nullptr, {0, embed_width()});
    return std::make_unique<Live>(
        LiveEdit(store(), options_.classes ? classifier().rows.view() : none, threads()),
        BootstrapBlocks(store().ReadItems()));
  });
}

std::shared_ptr<const std::vector<Item>> Source::ItemsOfShard(Index shard) {
  const std::string key = fmt::format("{}", shard);
  if (auto found = items_.Find(key)) return found;
  std::vector<Item> items = store().ReadItems(shard);
  const Index bytes = static_cast<Index>(items.size()) * kItemBytes;
  return items_.Add(key, std::move(items), bytes);
}

Item Source::item(Index number) {
  Index left = number;
  for (Index s = 0; left >= 0 && s < store().num_shards(); ++s) {
    if (left < store().shard(s).images) return At((*ItemsOfShard(s)), left);
    left -= store().shard(s).images;
  }
  throw Error(ErrorCode::kNotFound, "there is no picture {}; the store has {}", number,
              store().info().stats_only ? 0 : store().info().images);
}

Index Source::PlaceInSet(Index number, const std::string& path) {
  const ImageSet& set = *options_.pictures;
  if (number < set.size() && set.path(number) == path) return number;
  // Some pictures were skipped, or the store was put together: looked up by path.
  const std::vector<Index>& places = places_in_set_.Get([&] {
    std::unordered_map<std::string, Index> of_path;
    for (Index i = 0; i < set.size(); ++i) of_path.emplace(set.path(i), i);
    std::vector<Index> found;
    for (Index s = 0; s < store().num_shards(); ++s) {
      for (const Item& item : store().ReadItems(s)) {
        const auto place = of_path.find(item.path);
        found.push_back(place == of_path.end() ? -1 : place->second);
      }
    }
    return found;
  });
  return At(places, number);
}

std::vector<std::uint8_t> Source::PictureBytes(Index number) {
  const Item named = item(number);
  if (options_.pictures == nullptr) {
    throw Error(ErrorCode::kNotFound,
                "the pictures of this store are not there any more; say where with --images");
  }
  const Index place = PlaceInSet(number, named.path);
  if (place < 0) {
    throw Error(ErrorCode::kNotFound, "{}: not among the pictures of {}; say where with --images",
                Printable(named.path), options_.pictures->root());
  }
  return options_.pictures->Read(place);
}

const std::vector<Item>& Source::neuron_items() {
  return neuron_items_.Get([&] { return neurons().ReadItems(); });
}

Item Source::neuron_item(Index number) {
  const std::vector<Item>& items = neuron_items();
  if (number >= 0 && number < std::ssize(items)) return At(items, number);
  throw Error(ErrorCode::kNotFound, "there is no picture {}; the store of neurons has {}", number,
              items.size());
}

std::vector<std::uint8_t> Source::NeuronPictureBytes(Index number) {
  const Item named = neuron_item(number);
  const ImageSet* const set = options_.neuron_pictures.get();
  if (set == nullptr) {
    throw Error(ErrorCode::kNotFound,
                "the pictures of the store of neurons are not there any more");
  }
  const auto& places = places_of_neurons_.Get([&] {
    std::unordered_map<std::string, Index> of_path;
    for (Index i = 0; i < set->size(); ++i) of_path.emplace(set->path(i), i);
    return of_path;
  });
  const auto place = places.find(named.path);
  if (place == places.end()) {
    throw Error(ErrorCode::kNotFound, "{}: not among the pictures of {}", Printable(named.path),
                set->root());
  }
  return set->Read(place->second);
}

bool Source::NeuronPicturesUpright() const {
  return options_.neurons && cliplens::TurnsUpright(options_.neurons->info());
}

bool Source::TurnsUpright() const { return is_store() && cliplens::TurnsUpright(store()); }

Image Source::Decode(std::span<const std::uint8_t> bytes, const std::string& path, bool upright) {
  return DecodeImage(bytes, path,
                     {.max_pixels = shared_.picture_pixels,
                      .exif_orientation = upright,
                      .check_size = SizeCheckFor(model().config().preprocess)});
}

ShownPicture Source::Picture(const Arguments& picture) {
  ShownPicture shown;
  if (picture.Has("picture")) {
    const std::string id = picture.Text("picture");
    const std::shared_ptr<const SentPicture> sent = shared_.Sent(id);
    shown.path = "sent picture " + id.substr(0, 8);
    shown.image = Decode(sent->bytes, shown.path, shared_.exif_orientation);
    shown.key = id;
    return shown;
  }
  if (picture.Has("neuron_picture")) {
    const Index number = picture.Count("neuron_picture", -1, 0, Index{1} << 40);
    shown.path = neuron_item(number).path;
    shown.image = Decode(NeuronPictureBytes(number), shown.path, NeuronPicturesUpright());
    shown.key = fmt::format("neuron picture {}", number);
    return shown;
  }
  const Index number = picture.Count("item", -1, 0, Index{1} << 40);
  if (number < 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "name the picture: {{\"item\": NUMBER}}, {{\"neuron_picture\": NUMBER}} or "
                "{{\"picture\": ID}}");
  }
  shown.path = item(number).path;
  shown.image = Decode(PictureBytes(number), shown.path, TurnsUpright());
  shown.key = fmt::format("item {}", number);
  return shown;
}

std::shared_ptr<const TokenPass> Source::Pass(const ShownPicture& picture,
                                              std::optional<Index> through) {
  const std::string key =
      through ? fmt::format("{} through {}", picture.key, *through) : picture.key;
  if (auto found = passes_.Find(key)) return found;
  TokenPass pass = PassOf(model(), picture.image, threads(), picture.path,
                          through ? CapturesThrough(*through) : TokenCaptures());
  const Index bytes = BytesOf(pass);
  return passes_.Add(key, std::move(pass), bytes);
}

std::shared_ptr<const LoadedLabels> Source::NeedLabels() {
  auto known = labels();
  if (known == nullptr) {
    throw Error(ErrorCode::kPrecondition,
                "the heads of {} have no labels yet: label them, or start with --labels FILE",
                options_.name);
  }
  return known;
}

SearchSpace Source::SpaceOf(const Arguments& request, const char* key, std::string* text) {
  SearchSpace space;
  if (request.Has(key) && request.Object(key).Has("property")) {
    const std::string property = request.Object(key).Text("property");
    const std::shared_ptr<const LoadedLabels> labels = NeedLabels();
    if (labels->texts.size() == 0) {
      const std::scoped_lock lock(mutex_);
      CheckPrepared("texts of the properties");
      throw Error(ErrorCode::kInternal, "{}: the properties have no texts", options_.name);
    }
    *text = "property " + property;
    return labels->SpaceOf(property);
  }
  Place place = PlaceOf(request, key);
  if (!place.embedding) space.heads = std::move(place.heads);
  *text = std::move(place.text);
  return space;
}

Source::Place Source::PlaceOf(const Arguments& request, const char* key) {
  const Arguments in = request.Has(key) ? request.Object(key) : Arguments(Json::object(), key);
  if (in.Has("property")) {
    const std::string property = in.Text("property");
    return {false, NeedLabels()->HeadsOf(property), "property " + property};
  }
  const std::string heads = in.Text("heads", "all");
  return {!in.Has("heads"), model_heads_.Parse(heads), "heads " + heads};
}

std::shared_ptr<const SearchVectors> Source::Vectors(const SearchSpace& space) {
  const std::string key = KeyOf(space);
  if (auto found = vectors_.Find(key)) return found;
  SearchVectors vectors(store(), space);
  // From texts, which are the widest: [r, E] doubles a head where heads lie side by side.
  const auto heads = static_cast<Index>(space.heads.size());
  const Index bytes = heads * store().basis().factor_width() * (embed_width() + 64) * 8;
  return vectors_.Add(key, std::move(vectors), std::max<Index>(bytes, 1));
}

}  // namespace cliplens::server
