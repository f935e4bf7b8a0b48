import { InvalidPayload } from "./errors.js";

/** The part of Standard Schema (standardschema.dev) that is needed; Zod, Valibot and ArkType schemas fit it. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Result<Output> | Promise<Result<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

type Result<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly Issue[] };

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export type SchemaInput<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["input"];
export type SchemaOutput<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["output"];

/** Returns the value as the schema gives it; throws {@link InvalidPayload} with all that is wrong. */
export async function validate<Output>(
  schema: StandardSchema<unknown, Output>,
  type: string,
  value: unknown,
): Promise<Output> {
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return result.value;
  throw new InvalidPayload(
    type,
    result.issues.map(({ message, path }) => ({ message, path: pathText(path) })),
  );
}

function pathText(path: Issue["path"]): string {
  return (path ?? []).map((step) => String(typeof step === "object" ? step.key : step)).join(".");
}
