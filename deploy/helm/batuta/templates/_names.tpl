{{- define "batuta.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Labels of a part that never change: what selectors look for. Takes (dict "root" $ "part" "api"). */ -}}
{{- define "batuta.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "batuta.labels" -}}
{{ include "batuta.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "batuta.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}

{{- define "batuta.scheme" -}}
{{ if .Values.tls.existingSecret }}https{{ else }}http{{ end }}
{{- end -}}

{{- /* All brokers, each by the name of its pod. */ -}}
{{- define "batuta.brokers" -}}
{{- $name := include "batuta.name" . -}}
{{- $scheme := include "batuta.scheme" . -}}
{{- $all := list -}}
{{- range $i := until (int .Values.queue.replicas) -}}
{{- $all = append $all (printf "%s://%s-queue-%d.%s-queue-pods.%s.svc:8481" $scheme $name $i $name $.Release.Namespace) -}}
{{- end -}}
{{- join "," $all -}}
{{- end -}}

{{- /* What cannot work is refused here, in words; types and ranges are the schema's. */ -}}
{{- define "batuta.check" -}}
{{- if not .Values.keys.existingSecret -}}
{{- fail "keys.existingSecret: name the secret with api.key, api.pub, queue.key and queue.pub (docs/deploy.md says how to make it)" -}}
{{- end -}}
{{- if and (not .Values.database.existingSecret) (or (gt (int .Values.api.replicas) 1) (gt (int .Values.queue.replicas) 1)) -}}
{{- fail "more than one replica needs a database: name its secret in database.existingSecret" -}}
{{- end -}}
{{- if and .Values.redis.existingSecret (not .Values.database.existingSecret) -}}
{{- fail "redis is for several processes on one database: leave redis.existingSecret empty, or set database.existingSecret" -}}
{{- end -}}
{{- if and .Values.tls.existingSecret (not .Values.tls.name) -}}
{{- fail "tls.name: the name that the certificate is for" -}}
{{- end -}}
{{- if and .Values.agent.enabled (not .Values.agent.credentials.existingSecret) -}}
{{- fail "agent.credentials.existingSecret: name the secret with a credential of role agent" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.host: the name that people dial" -}}
{{- end -}}
{{- end -}}

{{- define "batuta.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "batuta.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}
