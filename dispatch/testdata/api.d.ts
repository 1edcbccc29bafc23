// Types of the functions of a Carillon app. Made by GET /v1/apps/{app}/functions/api.d.ts.

export type Args_branch = { name?: string | null; leaf?: Args_leaf | null; twigs?: Array<Args_branch | null> | null; "by-id"?: { [key: string]: Args_leaf | null } | null; any?: unknown; secret?: "true" | "false" | "null" | null; at?: string | null; texts?: { [key: string]: string | null } | null; };

export type Args_leaf = { kind?: string | null; data?: string | null; };

export type Result_branch = { name: string; leaf: Result_leaf | null; twigs: Array<Result_branch> | null; "by-id": { [key: string]: Result_leaf } | null; any: unknown; secret: "true" | "false"; at?: string; texts: { [key: string]: string } | null; };

export type Result_leaf = { kind: string; data?: string | null; };

export interface Functions {
  "trees:age": {
    kind: "query";
    args: number | null;
    result: number | null;
  };
  "trees:grow": {
    kind: "query";
    args: Args_branch | null;
    result: Result_branch;
  };
  "trees:name": {
    kind: "query";
    args: string;
    result: string;
  };
  "trees:wait": {
    kind: "query";
    args: Record<string, never> | null;
    result: null;
  };
}
