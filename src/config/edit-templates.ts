import { parseDocument } from 'yaml';

export type TemplateEdit = Readonly<
  Partial<Record<'agents' | 'classes' | 'tools' | 'calls' | 'maxDurationSeconds', unknown>>
>;

/** The text of a configuration with members of its templates replaced; comments and everything else as they were. */
export function editTemplates(text: string, edits: ReadonlyMap<string, TemplateEdit>): string {
  const document = parseDocument(text);
  for (const [template, edit] of edits) {
    for (const [key, value] of Object.entries(edit)) document.setIn(['templates', template, key], value);
  }
  return document.toString({ lineWidth: 0 });
}
