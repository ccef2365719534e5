#include "cliplens/cli/accuracy.h"

#include "cliplens/analysis/zero_shot.h"

namespace cliplens::cli {

void AddAccuracyOptions(CLI::App* verb, AccuracyOptions& options, bool required) {
  verb->add_option("--classes", options.classes,
                   "File with one class a line, optionally a tab and its label")
      ->required(required);
  verb->add_option("--templates", options.templates,
                   "File with one template a line ({} is the class), imagenet (80) or simple")
      ->capture_default_str();
  verb->add_option("--label", options.label,
                   "Attribute that holds the label (default: the picture's own label)");
  verb->add_flag("--truncate", options.truncate, "Cut texts longer than the context");
}

AccuracyInput ReadAccuracyInput(const Store& store, const ClipModel& model,
                                const AccuracyOptions& options, const Common& common) {
  const ClassFile classes = ReadClassFile(options.classes);
  const std::vector<std::string> templates = ReadTemplates(options.templates);
  AccuracyInput input;
  input.labels = MatchLabels(store.ReadItems(), classes, options.label, store.directory().string());
  input.classifier = ClassifierOf(model, classes, templates, options.truncate, common).rows;
  input.setting.store = store.info();
  input.setting.classes_name = classes.name;
  input.setting.classes = static_cast<Index>(classes.names.size());
  input.setting.templates = static_cast<Index>(templates.size());
  input.setting.foreign = input.labels.foreign;
  return input;
}

}  // namespace cliplens::cli
